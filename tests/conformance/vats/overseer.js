// Makes a watcher (watcher.js) and settles what it watches: some before it is upgraded, some after.
import { E, Far } from '@endo/far';

const makeKit = () => {
  const kit = {};
  kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
  return kit;
};

export const buildRootObject = () => {
  let admin;
  let root;
  let adminNode;
  let ended = 'not yet';
  const kits = [makeKit(), makeKit(), makeKit(), makeKit()];
  const owed = [];
  const cap = () => E(admin).getNamedBundleCap('watcher');

  const self = Far('root', {
    async bootstrap(vats, devices) {
      admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
    },
    answer(well, now) {
      if (now && well) return 'rvalbefore';
      if (now) throw 'rerrbefore';
      owed.push({ well, kit: makeKit() });
      return owed[owed.length - 1].kit.promise;
    },
    async create() {
      await E(admin)
        .getNamedBundleCap('missing')
        .catch(() => {});
      ({ root, adminNode } = await E(admin).createVat(await cap(), { vatParameters: { version: 'v1' } }));
      E(adminNode)
        .done()
        .then(
          value => (ended = ['fulfilled', value]),
          reason => (ended = ['rejected', reason]),
        );
      return root;
    },
    async watch() {
      await E(root).watch(self, ...kits.map(kit => kit.promise));
      kits[0].resolve('val1');
      kits[1].reject('err2');
    },
    async upgrade() {
      await E(adminNode).upgrade(await cap(), { vatParameters: { version: 'v2' }, upgradeMessage: 'test upgrade' });
      kits[2].resolve('val3');
      kits[3].reject('err4');
      for (const { well, kit } of owed) {
        if (well) kit.resolve('rvalafter');
        else kit.reject('rerrafter');
      }
    },
    count: by => E(root).count(by),
    getEnded: () => ended,
  });
  return self;
};
