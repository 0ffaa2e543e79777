// A backlog: one signed webhook for each ticket of the stand-in, all at once.

import http from 'k6/http';
import exec from 'k6/execution';
import { hmac } from 'k6/crypto';
import { Counter } from 'k6/metrics';
import { given, handleSummary } from './load.js';

export { handleSummary };
export const options = {
  discardResponseBodies: true,
  scenarios: {
    backlog: {
      executor: 'shared-iterations',
      vus: given.callers,
      iterations: given.tickets.length,
      maxDuration: `${given.seconds}s`,
    },
  },
};

const accepted = new Counter('accepted');
const refused = new Counter('refused');

export default function () {
  const at = exec.scenario.iterationInTest;
  const target = given.targets[at % given.targets.length];
  const body = JSON.stringify({ event: 'ticket_created', ...given.tickets[at] });
  const answer = http.post(target.url, body, {
    headers: {
      'Content-Type': 'application/json',
      'X-ServiceDesk-Signature': `sha256=${hmac('sha256', target.secret, body, 'hex')}`,
    },
  });
  (answer.status === 202 ? accepted : refused).add(1);
}
