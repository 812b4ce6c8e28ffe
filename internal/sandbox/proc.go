package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// bootID tells one run of the machine from the next: pids mean nothing across.
var bootID = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
})

// procStat is what proc(5), stat, says about a process.
type procStat struct {
	pid, parent, session int
	state                string
	start                uint64 // clock ticks since boot
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	// The name in parentheses may hold anything, parentheses included.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("process %d: short stat", pid)
	}
	stat := procStat{pid: pid, state: fields[0]}
	stat.parent, _ = strconv.Atoi(fields[1])
	stat.session, _ = strconv.Atoi(fields[3])
	stat.start, err = strconv.ParseUint(fields[19], 10, 64)
	return stat, err
}

func startTime(pid int) (uint64, error) {
	stat, err := readStat(pid)
	return stat.start, err
}

// processes lists what runs on the machine, zombies excluded.
func processes() []procStat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var all []procStat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if stat, err := readStat(pid); err == nil && stat.state != "Z" && stat.state != "X" {
			all = append(all, stat)
		}
	}
	return all
}

// titled reports whether the process carries a sandbox's title.
func titled(pid int, name string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	first, _, _ := strings.Cut(string(line), "\x00")
	return err == nil && first == title(name)
}
