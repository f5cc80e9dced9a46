// fly-admin of npm leads a Machine through its life: fly_admin.js APP.
const { createClient } = require('fly-admin');
const app = process.argv[2];

(async () => {
  const fly = createClient(process.env.FLY_API_TOKEN);
  await fly.App.createApp({ org_slug: process.env.FLY_ORG || 'personal', app_name: app });
  const config = {
    image: 'any/thing', init: { exec: ['sleep', 'inf'] },
    guest: { cpu_kind: 'shared', cpus: 2, memory_mb: 512 },
  };
  const made = await fly.Machine.createMachine({ app_name: app, name: 'one', config });
  const machine = { app_name: app, machine_id: made.id };
  const after = async (state) => {
    for (;;) {
      const now = await fly.Machine.getMachine(machine);
      if (now.state === state) return now;
    }
  };
  const started = await after('started');
  const processes = await fly.Machine.listProcesses(machine);
  await fly.Machine.stopMachine(machine);
  await after('stopped');
  const events = await fly.Machine.listEvents(machine);
  const end = events.find((event) => event.type === 'exit').request.exit_event;
  const volumes = await fly.Volume.listVolumes(app);
  await fly.App.deleteApp(app);
  console.log(JSON.stringify({
    states: [made.state, started.state], config: started.config, sent: config,
    sleeps: processes.filter((one) => one.command === 'sleep inf').length,
    end: [end.requested_stop, end.signal], volumes,
  }));
})().catch((error) => { console.error(error); process.exit(1); });
