// The project on Railway: `railway config plan`, then `railway config apply`.
// Two replicas share one Postgres. Railway sends a call's webhook and its audio socket to any of them.
import { defineRailway, postgres, preserve, project, service } from "railway/iac";

export default defineRailway(() => {
  const db = postgres("postgres");

  const calls = service("callpath", {
    healthcheck: "/readyz",
    healthcheckTimeout: 60,
    replicas: 2,
    env: {
      DATABASE_URL: db.env.DATABASE_URL,
      TELNYX_API_KEY: preserve(),
      TELNYX_PUBLIC_KEY: preserve(),
      // Railway's own stop time is 0 s: without this every deploy cuts the calls that are up.
      RAILWAY_DEPLOYMENT_DRAINING_SECONDS: "300",
      CALLPATH_DRAIN_SECONDS: "290",
    },
  });

  return project("callpath", { resources: [db, calls] });
});
