import { E, Far } from '@endo/far';
import { makePromiseKit } from '@endo/promise-kit';

export const buildRootObject = (vatPowers, { times, interval_ms: interval }) =>
  Far('Sleeper', {
    bootstrap: async (vats, devices) => {
      const timer = await E(vats.timer).createTimerService(devices.timer);
      const woken = [];
      const enough = makePromiseKit();

      const handler = Far('Handler', {
        wake: time => {
          woken.push({ told: Number(time.absValue), seen: Date.now() });
          console.log(`woken ${woken.length} of ${times}`);
          if (woken.length === times) enough.resolve();
        },
      });
      const repeater = await E(timer).makeRepeater(0n, BigInt(interval));
      await E(repeater).schedule(handler);
      await enough.promise;
      await E(repeater).disable();

      const before = Date.now();
      await E(timer).delay(BigInt(interval));
      return {
        times: woken.length,
        // A repeater may be late, but each waking is later than the one before, and none is early.
        forward: woken.every(({ told }, i) => !i || told > woken[i - 1].told),
        neverEarly: woken.every(({ told, seen }) => seen >= told),
        delayed: Date.now() - before >= interval,
      };
    },
  });
