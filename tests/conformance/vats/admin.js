// A bootstrap vat that makes vats, as it is told from outside.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let admin;
  let held;
  const kept = [];
  const adder = Far('adder', { add1: x => x + 1 });
  const options = { name: 'newvat', vatParameters: { adder } };
  const number = async made => E((await made).root).getANumber();

  return Far('root', {
    async bootstrap(vats, devices) {
      admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
      held = await E(vats.exporter).createHeld();
    },
    byBundle: bundle => number(E(admin).createVat(bundle, options)),
    byName: name => number(E(admin).createVatByName(name, options)),
    async byAwaitedCap(name) {
      const cap = await E(admin).getNamedBundleCap(name);
      return number(E(admin).createVat(cap, options));
    },
    async byId(name) {
      const id = await E(admin).getBundleIDByName(name);
      const cap = await E(admin).getBundleCap(id);
      return number(E(admin).createVat(cap, options));
    },
    async counters(name) {
      const { root } = await E(admin).createVatByName(name, options);
      const counter = E(root).makeCounter(1);
      return [
        await E(counter).increment(3),
        await E(counter).increment(5),
        await E(counter).count(),
        await E(counter).addLater(6),
      ];
    },
    async with(name, more) {
      const { root } = await E(admin).createVatByName(name, { ...options, ...more });
      return root;
    },
    plain: name => E(admin).createVatByName(name),
    nothing: () => E(admin).createVat(Far('nothing', {})),
    async named(name) {
      await E(admin).createVatByName('thirteen', { name, vatParameters: {} });
      return 'ok';
    },
    bogus: () => E(admin).createVatByName('thirteen', { bogus: 'nope' }),
    critical: () => E(admin).createVatByName('thirteen', { critical: true }),
    getHeld: () => held,
    async giveHeld(name) {
      kept.push(await E(admin).createVatByName(name, { vatParameters: { held } }));
      return 0;
    },
    forgetHeld() {
      held = undefined;
    },
  });
};
