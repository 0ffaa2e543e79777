// One RPC, called over and over with the requests given.

import grpc from 'k6/net/grpc';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
import { counts, given, handleSummary, loadFor } from './load.js';

export { handleSummary };
export const options = loadFor('grpc_req_duration');

const answered = new Counter('answered');
const failed = new Counter('failed');

const client = new grpc.Client();
client.loadProtoset(given.protoset);
let connected = false;

export default function () {
  if (!connected) {
    client.connect(given.target, { plaintext: true });
    connected = true;
  }
  const { idInTest, iterationInInstance } = exec.vu;
  const request = given.requests[(idInTest + iterationInInstance) % given.requests.length];
  const answer = client.invoke(given.method, request, {
    metadata: given.metadata,
    timeout: '10s',
    discardResponseMessage: true,
  });
  if (counts()) (answer.status === grpc.StatusOK ? answered : failed).add(1);
}
