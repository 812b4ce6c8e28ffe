// Package images brings images from elsewhere: it is handed a reference as a
// user wrote it, finds the image in the registry it names or a mirror of that,
// checks it, copies it into the platform's own registry and hands on its
// digest there, so that what runs needs nothing from outside any more.
package images
