import fc from "fast-check";

// The same values in every run: what fails by chance says nothing of what was changed.
fc.configureGlobal({ seed: 1 });
