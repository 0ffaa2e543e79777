// What the scripts share: a warm-up that is not counted, then the measured callers, then the summary file.

import exec from 'k6/execution';

export const given = JSON.parse(open(__ENV.BENCH_INPUT));

const MEASURED = 'measured';

export function loadFor(duration) {
  const pace = given.per_second
    ? { executor: 'constant-arrival-rate', rate: given.per_second, preAllocatedVUs: given.callers }
    : { executor: 'constant-vus', vus: given.callers };
  const scenarios = {
    [MEASURED]: {
      ...pace,
      duration: `${given.seconds}s`,
      startTime: `${given.warmup_seconds}s`,
      gracefulStop: '10s',
    },
  };
  if (given.warmup_seconds > 0) {
    scenarios.warmup = {
      executor: 'constant-vus',
      vus: given.callers,
      duration: `${given.warmup_seconds}s`,
      gracefulStop: '0s',
    };
  }
  return {
    scenarios,
    discardResponseBodies: true,
    summaryTrendStats: ['avg', 'p(50)', 'p(95)', 'p(99)', 'max'],
    // The only way to have the summary tell the measured scenario's latency apart.
    thresholds: { [`${duration}{scenario:${MEASURED}}`]: ['max>=0'] },
  };
}

// True for what was answered within the measured time: what ends later was begun in it, but is not its yield.
export function counts() {
  const { name, startTime } = exec.scenario;
  return name === MEASURED && Date.now() <= startTime + given.seconds * 1000;
}

export function handleSummary(data) {
  return { [__ENV.BENCH_SUMMARY]: JSON.stringify(data) };
}
