export const buildRootObject = () => {
  throw Error('thrown from buildRootObject');
};
