// A bootstrap vat that makes one vat (versions.js), upgrades it, and looks at what is left of what it had from the old one.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let admin;
  let root;
  let adminNode;
  let before;
  const events = [];
  const marker = Far('marker', {});
  const imports = harden(Array.from({ length: 10 }, (_, n) => Far(`import-${n}`, {})));
  const handler = Far('handler', {
    ping: text => void events.push(text),
    take(word, promise) {
      events.push(word);
      promise.then(value => events.push(value));
    },
  });
  const cap = () => E(admin).getNamedBundleCap('versions');
  const outcome = promise =>
    promise.then(
      value => harden(['fulfilled', value]),
      reason => harden(['rejected', reason]),
    );

  return Far('root', {
    async bootstrap(vats, devices) {
      admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
    },
    async create(options) {
      ({ root, adminNode } = await E(admin).createVat(await cap(), options));
      return root;
    },
    async createPinging(parameters) {
      ({ root, adminNode } = await E(admin).createVat(await cap(), { vatParameters: { ...parameters, handler } }));
    },
    upgrade: async options => E(adminNode).upgrade(await cap(), options),
    upgradePinging: async parameters => outcome(E(adminNode).upgrade(await cap(), { vatParameters: { ...parameters, handler } })),
    change: options =>
      E(adminNode)
        .changeOptions(options)
        .then(
          () => 'ok',
          reason => reason.message,
        ),
    pingback: () => E(root).pingback(handler),
    getEvents: () => events.splice(0),
    getMarker: () => marker,

    // What is had of the old incarnation.
    async look() {
      await E(root).keep(marker);
      const exported = await E(root).getExports(imports);
      const theirs = {};
      const promise = new Promise(resolve => (theirs.resolve = resolve));
      await E(root).hold(promise);
      const [inArray] = await E(root).neverInArray();
      before = {
        exported,
        theirs,
        outcomes: [inArray, E(root).never(), E(root).getWatched()].map(outcome),
        entries: await E(root).lookInto(exported.durableMap),
      };
      await E(exported.dur1).get();
    },
    // What is left of it.
    async lookAgain() {
      const { exported, theirs, outcomes } = before;
      const lost = {};
      for (const name of ['vir1', 'vir3', 'virtualMap', 'ephemeral']) {
        lost[name] = await outcome(E(exported[name]).get());
      }
      const [held8, held9, held0] = await E(root).checkBaggage(imports[8], imports[9]);
      const durable5 = await E(exported.durableMap).get(imports[5]);
      theirs.resolve('for your predecessor');
      const made = await E(root).getMade();
      return harden({
        version: await E(root).getVersion(),
        data: await E(root).getData(),
        kept: (await E(root).getKept()) === marker,
        dur1: await E(exported.dur1).get(),
        entries: (await E(root).lookInto(exported.durableMap)) === before.entries,
        held: [
          held8 === imports[8],
          held9 === imports[9],
          held0 === imports[0],
          (await E(durable5).getHeld()) === imports[5],
        ],
        isNew: made !== exported.dur1 && made !== durable5,
        lost,
        outcomes: await Promise.all(outcomes),
        seen: await E(root).getSeen(),
      });
    },
  });
};
