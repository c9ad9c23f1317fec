import { E, Far } from '@endo/far';

export const buildRootObject = () =>
  Far('Keeper', {
    bootstrap: async (vats, devices) => {
      const admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
      const old = await E(admin).getNamedBundleCap('counter1');
      const { root, adminNode } = await E(admin).createVat(old, { name: 'counter' });
      const counter = await E(root).getCounter();
      for (let i = 0; i < 3; i += 1) await E(counter).increment();
      const before = await E(root).describe();

      // A promise that the old code will never settle: it ends with the old code.
      const never = E(counter)
        .never()
        .catch(reason => reason);
      const code = await E(admin).getNamedBundleCap('counter2');
      await E(adminNode).upgrade(code, { vatParameters: { step: 10n }, upgradeMessage: 'steps' });
      const { name, upgradeMessage, incarnationNumber } = await never;

      // The same object, held since before: it has new methods now.
      await E(counter).increment();
      const count = await E(counter).double();
      const after = await E(root).describe();
      console.log(`${before.code} counted to ${before.count}, ${after.code} goes on to ${count}`);
      return { before, after, count, never: { name, upgradeMessage, incarnationNumber } };
    },
  });
