// pm2 start ecosystem.config.cjs && pm2 save
// PM2 runs each app once at the start, then at its cron_restart time; autorestart stays off because the loop ends by
// itself. A run that the start adds is skipped step by step if the day is done already.
const common = {
  script: "/opt/streetvision/.venv/bin/streetvision",
  interpreter: "none",
  cwd: "/opt/streetvision",
  autorestart: false,
  kill_timeout: 30000,
  env: { SV_PROFILE: "embedded", SV_PATHS__HOME: "/opt/streetvision" },
};

module.exports = {
  apps: [
    { ...common, name: "streetvision-daily", args: ["daily"], cron_restart: "30 2 * * *" },
    { ...common, name: "streetvision-weekly", args: ["weekly"], cron_restart: "0 6 * * 1" },
  ],
};
