// Package stack makes what slugs stand on: it is handed Debian's packages or an
// image, makes or checks a stack image of it, composes slug images, which are a
// stack's layers with a slug's above them, and puts a slug on another stack
// without building it again.
package stack
