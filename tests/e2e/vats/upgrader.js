import { E, Far } from '@endo/far';

/* Makes a vat from the bundle `1`, holds what it gives out, and upgrades it when it is told to. */
export const buildRootObject = () => {
  let service;
  let vat;
  const held = {};
  const lost = [];
  const tell = async promise => {
    try {
      return await promise;
    } catch (e) {
      return e instanceof Error ? `Error: ${e.message}` : e;
    }
  };
  return Far('upgrader', {
    bootstrap: async (vats, devices) => {
      service = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
      vat = await E(service).createVatByName('1', { vatParameters: { first: true } });
      held.counter = await E(vat.root).makeCounter('c');
      held.ephemeral = await E(vat.root).makeEphemeral();
      E(vat.root).never().catch(why => lost.push(why));
      return E(held.counter).incr();
    },
    /* What became of it: {incarnationNumber}, or the text of the error. */
    upgrade: async (name, parameters) => {
      const cap = await E(service).getNamedBundleCap(name);
      return tell(E(vat.adminNode).upgrade(cap, { vatParameters: parameters, upgradeMessage: `to ${name}` }));
    },
    /* The vat is upgraded with something of its own that the upgrade takes away. */
    upgradeWithItsOwn: async name => {
      const cap = await E(service).getNamedBundleCap(name);
      const answer = await tell(E(vat.adminNode).upgrade(cap, { vatParameters: { mine: held.ephemeral } }));
      const { mine } = await E(vat.root).parameters();
      return [answer, mine === held.ephemeral, await tell(E(mine).hello())];
    },
    use: async () => [
      await tell(E(held.counter).incr()),
      await tell(E(held.ephemeral).hello()),
      (await tell(E(vat.root).getCounter('c'))) === held.counter,
      await tell(E(vat.root).version()),
    ],
    renew: async () => {
      held.ephemeral = await E(vat.root).makeEphemeral();
    },
    note: text => E(vat.root).note(text),
    lost: () => [...lost],
  });
};
