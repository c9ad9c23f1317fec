// Bootstrap ends after a time, never although a timer fired, or at once although one repeats for ever.
import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { argv: [how] }) =>
  Far('Sleeper', {
    bootstrap: async (vats, devices) => {
      const timer = await E(vats.timer).createTimerService(devices.timer);
      if (how === 'delay') return E(timer).delay(300n).then(() => 'slept');
      if (how === 'never') {
        await E(timer).delay(300n);
        return new Promise(() => {});
      }
      await E(timer).repeatAfter(0n, 50n, Far('Handler', { wake: () => {} }));
      return 'repeats';
    },
  });
