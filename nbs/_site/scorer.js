/* How the search weighs what it finds: the chapter to which the words belong comes first, generated pages last. */
const HOME = TERMS[
  (new URLSearchParams(location.search).get("q") || "")
    .toLowerCase()
    .match(/[a-z0-9]+/g)
    ?.join(" ")
];

var Scorer = {
  score: ([docname, , , , score]) =>
    score + (docname === HOME ? 1000 : 0) - (docname.startsWith("_modules") ? 50 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
