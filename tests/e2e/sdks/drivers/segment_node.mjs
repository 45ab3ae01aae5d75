// Makes the calls of a plan with @segment/analytics-node; each call's own callback says what became of it.

import { Analytics } from "@segment/analytics-node";
import { outcomeOf, readPlan, report } from "./plan.mjs";

const plan = await readPlan();
const analytics = new Analytics({ writeKey: plan.writeKey, host: plan.host });
const outcomes = {};
for (const { type, timestamp, ...call } of plan.calls) {
  analytics[type]({ ...call, timestamp: new Date(timestamp) }, (error) => {
    outcomes[type] = outcomeOf(error);
  });
}
await analytics.closeAndFlush();
report({ outcomes });
