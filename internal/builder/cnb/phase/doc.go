// Package phase is the part of a Cloud Native Buildpacks build that runs
// inside the builder image: it is handed one order on its command line, runs
// that phase of the lifecycle at the paths the specification fixes, and ends
// with the lifecycle's exit code. It holds no credential: the phases that need
// the registry find a socket behind which the platform adds it.
//
// The specification: github.com/buildpacks/spec, platform API.
package phase
