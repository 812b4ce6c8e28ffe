package gitserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// hookScript is the pre-receive hook. It speaks with the server through three
// pipes that it inherits from receive-pack, which leave nothing behind when
// either side is killed, and whose ends tell the other side at once:
//
//	3  to the server: where the pushed objects are, the updates, an empty line
//	4  from the server: what the user shall see
//	5  from the server: the verdict, an exit code
//
// Only the server holds the writing ends of 4 and 5, so they end with it. It
// starts one program, cat, because the push waits for all of it.
const hookScript = `#!/bin/sh
# Written by NAME; changes are lost when it starts.
trap '' PIPE
{
	printf '%s\n%s\n' "$GIT_OBJECT_DIRECTORY" "$GIT_ALTERNATE_OBJECT_DIRECTORIES" &&
	while IFS= read -r update; do printf '%s\n' "$update"; done &&
	echo
} >&3 2>/dev/null
cat <&4 >&2
read -r verdict <&5 && exit "$verdict"
echo ' !     NAME went away during the push; push again' >&2
exit 1
`

func writeHook(path, name string) error {
	return writeWhole(path, []byte(strings.ReplaceAll(hookScript, "NAME", name)), 0o755)
}

// update is one ref that a push moves. A zero hash means: no such ref.
type update struct{ before, after, ref string }

func (u update) deletes() bool { return zeroHash(u.after) }

// proposal is what the hook asks about: the updates, and where the objects are
// while they are in quarantine.
type proposal struct {
	objects, alternates string
	updates             []update
}

// maxProposal bounds what a hook may say; it is about 100,000 refs.
const maxProposal = 16 << 20

var errProposal = errors.New("the push names too many refs, or its hook was not understood")

// readProposal reads what the hook writes to its pipe. io.EOF means that the
// hook was not reached: git found nothing to ask about, or refused by itself.
func readProposal(r io.Reader) (proposal, error) {
	lines := bufio.NewReader(io.LimitReader(r, maxProposal))
	objects, err := lines.ReadString('\n')
	if err != nil {
		return proposal{}, io.EOF
	}
	alternates, err := lines.ReadString('\n')
	if err != nil {
		return proposal{}, errProposal
	}
	p := proposal{objects: strings.TrimSuffix(objects, "\n"), alternates: strings.TrimSuffix(alternates, "\n")}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return proposal{}, errProposal
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return p, nil
		}
		words := strings.SplitN(line, " ", 3)
		if len(words) != 3 {
			return proposal{}, errProposal
		}
		p.updates = append(p.updates, update{before: words[0], after: words[1], ref: words[2]})
	}
}

// hookPipes are the server's ends, and the ends for the child in the order of
// its descriptors 3, 4 and 5.
type hookPipes struct {
	proposal *os.File
	output   *os.File
	verdict  *os.File
	child    [3]*os.File
}

func newHookPipes() (h *hookPipes, err error) {
	h = &hookPipes{}
	defer func() {
		if err != nil {
			h.closeChild()
			h.close()
		}
	}()
	if h.proposal, h.child[0], err = os.Pipe(); err != nil {
		return nil, err
	}
	if h.child[1], h.output, err = os.Pipe(); err != nil {
		return nil, err
	}
	if h.child[2], h.verdict, err = os.Pipe(); err != nil {
		return nil, err
	}
	return h, nil
}

// decide tells the hook its exit code, and ends its output.
func (h *hookPipes) decide(code int) error {
	_, err := fmt.Fprintln(h.verdict, code)
	return errors.Join(err, h.verdict.Close(), h.output.Close())
}

func (h *hookPipes) closeChild() {
	for _, file := range h.child {
		file.Close() // the child has its own
	}
}

func (h *hookPipes) close() {
	for _, file := range []*os.File{h.proposal, h.output, h.verdict} {
		file.Close() // it may be closed already
	}
}
