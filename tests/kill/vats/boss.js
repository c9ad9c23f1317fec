// Introduces the others to each other.
import { E, Far } from '@endo/far';

export const buildRootObject = () =>
  Far('boss', {
    ping: () => 'boss',
    async bootstrap(vats) {
      const { bank0, bank1, teller, mint, sink, link0, link1, link2, churn0, churn1 } = vats;
      await Promise.all([
        E(teller).meet([bank0, bank1]),
        E(mint).meet(link0),
        E(sink).meet(mint),
        E(link0).meet(link1, link2, sink),
        E(link1).meet(link2, link0, sink),
        E(link2).meet(link0, link1, sink),
        E(churn0).meet(churn1),
        E(churn1).meet(churn0),
      ]);
      return 'met';
    },
  });
