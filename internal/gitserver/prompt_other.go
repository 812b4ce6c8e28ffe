//go:build !linux

package gitserver

func acknowledge(uintptr) {}
