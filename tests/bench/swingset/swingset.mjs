// SwingSet's side of swingset.py, which copies it to where the packages are and starts it there:
//
//   node swingset.mjs STORE         makes a store in the folder STORE, and starts front and back
//
// Reads one JSON value a line, {"method": "ping", "args": [300]}, sends that to front's root, runs the kernel until nothing is
// left to run, and writes {"seconds", "deliveries", "commits", "value"}. The time is from the queueing to the last commit.
import '@endo/init/pre-bundle-source.js';
import '@endo/init';
import readline from 'readline';
import { performance } from 'perf_hooks';
import { initSwingStore } from '@agoric/swing-store';
import { initializeSwingset, makeSwingsetController } from '@agoric/swingset-vat';

const BLOCK = 100; // deliveries between two commits

const { kernelStorage, hostStorage } = initSwingStore(process.argv[2]);
const here = name => ({ sourceSpec: new URL(name, import.meta.url).pathname });
const config = {
  bootstrap: 'front',
  defaultManagerType: 'xs-worker',
  defaultReapInterval: 1000,
  snapshotInterval: 200,
  vats: { front: here('front.js'), back: here('back.js') },
};
await initializeSwingset(config, [], kernelStorage, {});
await hostStorage.commit();
const controller = await makeSwingsetController(kernelStorage, {}, {});
controller.pinVatRoot('front');

// Runs to the end, in blocks.
const run = async () => {
  let deliveries = 0;
  let commits = 0;
  for (;;) {
    let block = 0;
    const done = () => {
      block += 1;
      return block < BLOCK;
    };
    const policy = { vatCreated: done, crankComplete: done, crankFailed: done, emptyCrank: () => true };
    await controller.run(harden(policy));
    await hostStorage.commit();
    deliveries += block;
    commits += 1;
    if (block < BLOCK) return { deliveries, commits };
  }
};

const say = value => process.stdout.write(`${JSON.stringify(value)}\n`);
await run();
say({ ready: true });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { method, args } = JSON.parse(line);
  const begin = performance.now();
  const promise = controller.queueToVatRoot('front', method, args);
  controller.kpRegisterInterest(promise);
  const counts = await run();
  const seconds = (performance.now() - begin) / 1000;
  if (controller.kpStatus(promise) !== 'fulfilled') throw Error(`${method}: ${controller.kpStatus(promise)}`);
  say({ seconds, ...counts, value: controller.kpResolution(promise).body });
}
await controller.shutdown();
await hostStorage.close();
