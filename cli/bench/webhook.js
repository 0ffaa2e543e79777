// Signed webhooks, each a ticket that nobody has seen; only those answered 202 count.

import http from 'k6/http';
import exec from 'k6/execution';
import { hmac } from 'k6/crypto';
import { Counter } from 'k6/metrics';
import { counts, given, handleSummary, loadFor } from './load.js';

export { handleSummary };
export const options = loadFor('http_req_duration');

const accepted = new Counter('accepted');
const refused = new Counter('refused');

export default function () {
  const { vu, scenario } = exec;
  const target = given.targets[vu.idInTest % given.targets.length];
  const ticket = given.tickets[vu.iterationInInstance % given.tickets.length];
  const id = `${given.run}-${scenario.name}-${vu.idInTest}-${vu.iterationInScenario}`;
  const body = JSON.stringify({ event: 'ticket_created', ticket_id: id, ...ticket });
  const answer = http.post(target.url, body, {
    headers: {
      'Content-Type': 'application/json',
      'X-ServiceDesk-Signature': `sha256=${hmac('sha256', target.secret, body, 'hex')}`,
    },
  });
  if (counts()) (answer.status === 202 ? accepted : refused).add(1);
}
