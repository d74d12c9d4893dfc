// pm2 start ecosystem.serve.config.cjs && pm2 save
// data/models.yaml names the two model servers and their weights; STREETVISION_PIN=challenger lets one serve another
// version than the champion.
const common = {
  script: "/opt/streetvision/.venv/bin/streetvision",
  interpreter: "none",
  cwd: "/opt/streetvision",
  autorestart: true,
  exp_backoff_restart_delay: 200,
  kill_timeout: 30000,
  env: { SV_PROFILE: "embedded", SV_PATHS__HOME: "/opt/streetvision" },
};
const model = (name, port) => ({
  ...common,
  name: "streetvision-model-" + name,
  args: ["serve", "--role", "model", "--listen", "http://127.0.0.1:" + port],
});

module.exports = {
  apps: [
    model("blue", 8101),
    model("green", 8102),
    { ...common, name: "streetvision-gateway", args: ["serve", "--role", "gateway", "--models-file", "data/models.yaml"] },
  ],
};
