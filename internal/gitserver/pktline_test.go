package gitserver_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/gitserver"
)

func FuzzPacketsComeOutAsTheyWentIn(f *testing.F) {
	for _, stream := range []string{"0000", "0004", "0006a\n0000", "fff1", "0003", "zzzz", "00", "0010short", "00010002"} {
		f.Add([]byte(stream))
	}
	buf := make([]byte, gitserver.MaxPacket)
	f.Fuzz(func(t *testing.T, stream []byte) {
		var out []byte
		for from := bytes.NewReader(stream); ; {
			frame, err := gitserver.ReadPacket(from, buf)
			if err != nil {
				break
			}
			if len(frame) < 4 {
				t.Fatalf("frame %q", frame)
			}
			out = append(out, frame...)
		}
		if !bytes.HasPrefix(stream, out) {
			t.Errorf("%q became %q", stream, out)
		}
	})
}

func FuzzProposalsAreWholeOrRefused(f *testing.F) {
	hash := strings.Repeat("a", 40)
	f.Add([]byte("/q\n/o\n" + hash + " " + hash + " refs/heads/main\n\n"))
	f.Add([]byte("/q\n/o\n\n"))
	f.Add([]byte("/q\n/o\nx y\n\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := gitserver.ReadProposal(bytes.NewReader(text))
		if n > bytes.Count(text, []byte("\n")) {
			t.Errorf("%d updates in %q", n, text)
		}
		if err != nil && n != 0 {
			t.Errorf("%d updates beside %v", n, err)
		}
	})
}

func TestHalfAProposalIsNoProposal(t *testing.T) {
	t.Parallel()
	whole := "/quarantine\n/objects\n" + strings.Repeat("a", 40) + " " + strings.Repeat("b", 40) + " refs/heads/main\n\n"
	if n, err := gitserver.ReadProposal(strings.NewReader(whole)); n != 1 || err != nil {
		t.Errorf("whole: %d updates, %v", n, err)
	}
	for cut := range len(whole) - 1 {
		if _, err := gitserver.ReadProposal(strings.NewReader(whole[:cut])); err == nil {
			t.Errorf("taken after %d bytes", cut)
		} else if cut == 0 && !errors.Is(err, io.EOF) {
			t.Errorf("nothing at all: %v", err)
		}
	}
}
