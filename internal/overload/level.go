package overload

import (
	"fmt"
	"strconv"
)

// Class is the business priority of a request; the lower, the more important.
type Class uint8

// The classes.
const (
	Critical Class = iota
	Normal
	Bulk
	Background
	Classes = 4 // how many there are
)

var classNames = [Classes]string{"critical", "normal", "bulk", "background"}

func (c Class) String() string { return classNames[c&3] }

// ParseClass reads a class's name.
func ParseClass(name string) (Class, error) {
	for c, known := range classNames {
		if name == known {
			return Class(c), nil
		}
	}
	return 0, fmt.Errorf("%q is none of critical, normal, bulk and background", name)
}

// Level is a class and a user within it: class*128 + U. The lower, the longer
// it is served.
type Level int16

const (
	users  = 128 // levels of a class
	levels = Classes * users

	// Lowest is the level that is shed first. A cursor there sheds nobody.
	Lowest Level = levels - 1
)

// MakeLevel is the level of a user, 0 to 127, in a class.
func MakeLevel(class Class, user uint8) Level { return Level(class)*users + Level(user%users) }

// Class is the level's class.
func (l Level) Class() Class { return Class(l / users) }

func (l Level) String() string {
	return l.Class().String() + "/" + strconv.Itoa(int(l%users))
}

// ParseLevel reads a level as instances write it in an answer's X-Load-Level:
// the lowest priority that they still take, a number from 0 to 511.
func ParseLevel(text []byte) (Level, bool) {
	if len(text) == 0 || len(text) > 3 {
		return 0, false
	}
	n := 0
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return Level(min(n, levels-1)), n < levels
}

// Verdict is what becomes of a request.
type Verdict uint8

// The verdicts.
const (
	Go   Verdict = iota // it has a slot: Release gives it back
	Wait                // its Waiter is called back
	Shed                // it is turned away, for a Reason
)

// Reason is why a request was turned away.
type Reason uint8

// The reasons.
const (
	None    Reason = iota
	ByLevel        // its level is under the cursor
	ByApp          // its level is under that of the app's own X-Load-Level
	Full           // too many wait already
	Evicted        // it waited, and one of a better class took its place
	Late           // it waited too long
	Router         // the router itself is short of time
	TooFast        // its client asks too often
	TooMany        // its client has too much open
	Reasons = iota
)

var reasonNames = [Reasons]string{"", "level", "app", "full", "evicted", "late", "router", "rate", "concurrency"}

func (r Reason) String() string { return reasonNames[r] }
