// Calls one method of another vat and tells what became of it and of everybody else.
import { E, Far } from '@endo/far';

const tell = promise =>
  promise.then(
    value => ['fulfilled', value],
    error => ['rejected', error.message],
  );

export const buildRootObject = (_vatPowers, { method, calls = 0 }) =>
  Far('front', {
    async bootstrap({ other, victim }) {
      const attack = tell(E(victim)[method]());
      const waiting = tell(E(victim).ok());
      for (let i = 1; i < calls; i += 1) E(other).count();
      if (calls) console.log(`counted ${await E(other).count()}`);
      const [state, text] = await attack;
      console.log(`${method} ${state}`);
      return [state, text, await waiting, await tell(E(victim).ok()), await tell(E(other).count())];
    },
  });
