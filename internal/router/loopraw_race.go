//go:build race

package router

import (
	"runtime"
	"unsafe"
)

// The race detector does not see what the kernel does to memory unless it is
// told. It is told of no order: two ends of a socket do not wait for one another.

func kernelReads(p []byte) {
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
}

func kernelWrote(p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
}
