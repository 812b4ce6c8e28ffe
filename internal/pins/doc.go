// Package pins keeps the modules that are about to be used.
package pins
