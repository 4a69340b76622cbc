// Stands before glibc's mallopt and writes down how it is called. MALLOPT_MOST: refuse a larger M_MMAP_THRESHOLD, as glibc before 2.35.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int mallopt(int parameter, int value) {
  const char* most = getenv("MALLOPT_MOST");
  const int refused = parameter == M_MMAP_THRESHOLD && most != NULL && value > atoi(most);
  fprintf(stderr, "mallopt %s %d %s\n", parameter == M_MMAP_THRESHOLD ? "mmap" : parameter == M_TRIM_THRESHOLD ? "trim" : "top", value,
          refused ? "refused" : "taken");
  return !refused;
}
