// Package platform is the dictionary: every domain type of Slipway and the
// rules that need nothing but the type itself. It is handed nothing and does
// no input or output; every other room imports it, and it imports only the
// standard library.
package platform
