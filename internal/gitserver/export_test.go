package gitserver

import (
	"io"
	"time"
)

// What the tests of this folder see of the inside.

var (
	ErrNoRepo     = errNoRepo
	ErrNotCommand = errNotCommand
	ReadPacket    = readPacket
	MaxPacket     = maxPacket
	HookScript    = hookScript
)

const OutboxSize = outboxSize

// ParseCommand is parseCommand with its result taken apart.
func ParseCommand(line string) (service, app string, err error) {
	cmd, err := parseCommand(line)
	return cmd.service, cmd.app, err
}

// ParsePath is parsePath.
func ParsePath(path string) (app, verb string, err error) { return parsePath(path) }

// ReadProposal is readProposal, and how many updates there are.
func ReadProposal(r io.Reader) (int, error) {
	p, err := readProposal(r)
	return len(p.updates), err
}

// NewOutbox is newOutbox.
func NewOutbox(to io.Writer, patience time.Duration, hangUp func()) interface {
	io.Writer
	Close(last string, within time.Duration)
} {
	return newOutbox(to, patience, hangUp)
}
