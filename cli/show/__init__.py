"""How an enhancement looks: as JSON, as a brief to read, as steps that tick."""
