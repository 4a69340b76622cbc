// The binding as one file to compile: nearly all of its time goes into the headers of libtorch, which are read here once.
#include "binding/addon.cc"
#include "binding/autograd.cc"
#include "binding/background.cc"
#include "binding/calls.cc"
#include "binding/library.cc"
#include "binding/memory.cc"
#include "binding/meta.cc"
#include "binding/values.cc"
