// Makes vats through vatAdmin, one after the other, and asks each of them something.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let admin;
  return Far('maker', {
    async bootstrap(_vats, { vatAdmin }) {
      admin = await E(vatAdmin).createVatAdminService(null);
    },
    async make(count) {
      const bundle = await E(admin).getNamedBundleCap('made');
      for (let i = 0; i < count; i += 1) {
        const { root } = await E(admin).createVat(bundle);
        await E(root).hello();
      }
      return count;
    },
  });
};
