"""What a service keeps of one client: counted, erased, exported and left to expire, the same way in each."""
