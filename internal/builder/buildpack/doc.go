// Package buildpack turns a tree into an image with buildpacks of the classic
// API: it is handed an unpacked tree, runs detect, compile and release of the
// buildpacks that fit inside one sandbox, packs what they leave into one
// reproducible layer, a slug, and hands on an image by digest in the registry.
//
// The buildpack API is Heroku's (devcenter.heroku.com/articles/buildpack-api);
// what the user sees is Deis' (deis contract 3.3, 3.4). Buildpacks see the
// app's config as files of ENV_DIR and nothing of the platform's environment.
package buildpack
