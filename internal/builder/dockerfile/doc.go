// Package dockerfile builds the Dockerfile of a pushed tree with BuildKit: it
// is handed a tree, starts `slipway buildkitd` for this one build in a network
// and a control group of its own, feeds it the tree and what the app allows it
// to know, and hands on an image in the platform's registry. Each app has a
// cache of its own, so that none can read what another's steps left.
package dockerfile
