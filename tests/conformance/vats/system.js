// A vat of a system cluster: what it finds among the services it keeps, and does with it what it is told.
import { E, Far } from '@endo/far';

export const buildRootObject = (_vatPowers, _parameters, baggage) => {
  const facet = () => (baggage.has('facet') ? baggage.get('facet') : undefined);
  return Far('system', {
    bootstrap(_vats, services) {
      baggage.init('facet', services.kernelFacet);
    },
    hasFacet: () => facet() !== undefined,
    getStatus: () => E(facet()).getStatus(),
    getSubclusters: () => E(facet()).getSubclusters(),
    launch: config => E(facet()).launchSubcluster(config),
    terminate: id => E(facet()).terminateSubcluster(id),
    store(key, value) {
      if (baggage.has(key)) baggage.set(key, value);
      else baggage.init(key, value);
    },
    read: key => (baggage.has(key) ? baggage.get(key) : undefined),
    has: key => baggage.has(key),
  });
};
