package volume

import (
	"io/fs"
	"syscall"
)

// owner is the uid that owns a file.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
