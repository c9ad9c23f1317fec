import { E, Far } from '@endo/far';

export const buildRootObject = () =>
  Far('Factory', {
    bootstrap: async (vats, devices) => {
      const admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
      const code = await E(admin).getNamedBundleCap('worker');
      const hire = name => E(admin).createVat(code, { name, vatParameters: { name } });

      // Two vats that did not exist before, with the same code and names of their own.
      const [ann, bob] = await Promise.all([hire('ann'), hire('bob')]);
      const sums = await Promise.all([E(ann.root).add(1n, 2n), E(bob.root).add(20n, 22n)]);
      console.log(`ann says ${sums[0]}, bob says ${sums[1]}`);

      const annEnds = E(ann.adminNode).done();
      const bobEnds = E(bob.adminNode).done();
      await E(ann.root).leave('work is done');
      E.sendOnly(bob.adminNode).terminateWithFailure(Error('no more work'));
      const ended = await annEnds;
      const failed = await bobEnds.catch(error => error.message);
      console.log(`ann left: ${ended}; bob was ended: ${failed}`);

      // Nobody is there any more.
      const refused = await E(bob.root)
        .add(1n, 1n)
        .then(
          () => 'answered',
          error => error.message,
        );
      return { sums, ended, failed, refused };
    },
  });
