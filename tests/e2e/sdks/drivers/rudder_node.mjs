// Makes the calls of a plan with @rudderstack/rudder-sdk-node; each call's own callback says what became of it.

import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { outcomeOf, readPlan, report } from "./plan.mjs";

const plan = await readPlan();
// An SDK without an error handler throws what its callbacks were told already. It logs to the standard output.
const options = { errorHandler: () => {}, logLevel: "none" };
const analytics = new RudderAnalytics(plan.writeKey, { dataPlaneUrl: plan.host, ...options });
const outcomes = {};
for (const { type, timestamp, ...call } of plan.calls) {
  analytics[type]({ ...call, timestamp: new Date(timestamp) }, (error) => {
    outcomes[type] = outcomeOf(error);
  });
}
await new Promise((resolve) => analytics.flush(resolve));
report({ outcomes });
