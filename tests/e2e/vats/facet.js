// Says which services its cluster has, and counts how often it was asked.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let asked = 0;
  let facet;
  return Far('Facet', {
    bootstrap: (vats, services) => {
      facet = services.kernelFacet;
      return Object.keys(services).sort();
    },
    ask: () => {
      asked += 1;
      return asked;
    },
    ping: () => E(facet).ping(),
  });
};
