package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ask asks on the terminal for one line. Without one it is a usage error.
func (c *cli) ask(ctx context.Context, question string) (string, error) {
	if _, ok := terminal(c.opts.Stdin); !ok {
		return "", &usageError{text: "there is no terminal to ask on: " + strings.TrimSuffix(question, ": ")}
	}
	fmt.Fprint(c.stderr, question)
	return await(ctx, func() (string, error) { return readLine(c.opts.Stdin) })
}

// askPassword asks without an echo, or takes a line of stdin.
func (c *cli) askPassword(ctx context.Context, stdin bool, question string) (string, error) {
	password, err := c.readPassword(ctx, stdin, question)
	if err == nil && password == "" {
		err = platform.Invalid("", "a password is needed")
	}
	return password, err
}

func (c *cli) readPassword(ctx context.Context, stdin bool, question string) (string, error) {
	if stdin {
		line, err := readLine(c.opts.Stdin)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	}
	fd, ok := terminal(c.opts.Stdin)
	if !ok {
		return "", &usageError{text: "there is no terminal to ask for the password on: pipe it in with --password-stdin"}
	}
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, before) }() // whatever happens, the echo comes back
	// Before the question, so that a quick answer is not shown either.
	if err := hideTyping(fd); err != nil {
		return "", err
	}
	fmt.Fprint(c.stderr, question)
	defer fmt.Fprintln(c.stderr)
	return await(ctx, func() (string, error) {
		text, err := term.ReadPassword(fd)
		return string(text), err
	})
}

// hideTyping turns the terminal's echo off.
func hideTyping(fd int) error {
	state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(fd, unix.TCSETS, state)
}

// newPassword asks twice on a terminal.
func (c *cli) newPassword(ctx context.Context, stdin bool) (string, error) {
	password, err := c.askPassword(ctx, stdin, "New password: ")
	if err != nil || stdin {
		return password, err
	}
	again, err := c.askPassword(ctx, false, "The same again: ")
	if err == nil && again != password {
		err = platform.Invalid("", "the two passwords differ")
	}
	return password, err
}

// await returns when read does or ctx ends. A read that goes on is left to the
// end of the program, which follows.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-done:
		return r.text, r.err
	}
}

// readLine reads one line of at most 4 KiB, byte by byte so that nothing after
// it is lost to the next reader.
func readLine(from io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < 4<<10 {
		n, err := from.Read(b[:])
		if n == 1 {
			if b[0] == '\n' {
				return strings.TrimSuffix(string(line), "\r"), nil
			}
			line = append(line, b[0])
		}
		if err == io.EOF && len(line) > 0 {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", platform.Invalid("", "the line is longer than 4 KiB")
}
