// Package cnb turns a tree into an image with Cloud Native Buildpacks: it is
// handed an unpacked tree, runs the phases of the lifecycle inside the builder
// image that the operator named, each in a sandbox whose root is that image,
// and hands on an image by digest in the platform's registry.
//
// Buildpacks run in two of the phases, detect and build, and see neither the
// registry nor what earlier builds kept. The other phases run none of their
// code, have no network, and reach two repositories of the registry through a
// socket of this package, which holds the credential. See phase.
package cnb
