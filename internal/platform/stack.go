package platform

import (
	"regexp"
	"time"
)

// StackRepository is the repository of the platform's registry that stacks are
// kept in. No app is called so.
const StackRepository = "stack"

// Stack is an image that slugs are laid on. One of them at most is in force:
// slugs are laid on it from then on.
type Stack struct {
	Name  string
	Image string // repository@digest in the platform's registry
	// Source is where it came from: "debian bookworm", or the image as who
	// chose it named it.
	Source string
	// System is what the stack says it is, such as "Debian GNU/Linux 12 (bookworm)".
	System  string
	Size    int64 // compressed bytes of its layers
	InForce bool
	Owner   string // who made or chose it
	Created time.Time
	Updated time.Time
}

var (
	stackName   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	suiteName   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{0,127}(=[A-Za-z0-9.+:~-]{1,127})?$`)
	mirrorURL   = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`)
)

// StackRecipe is what a stack is made of. Empty fields have the default in
// brackets.
type StackRecipe struct {
	Name string // [the suite]
	// Suite is the release of Debian [this machine's].
	Suite string
	// Packages are names, or name=version. "runtimes" stands for what this
	// machine runs the languages of the bundled buildpacks with [runtimes].
	Packages []string
	// Mirror is where the packages come from [where this machine's apt gets them].
	Mirror string
}

// maxStackPackages bounds a recipe.
const maxStackPackages = 500

// Valid checks a recipe's words: they end in a command line of root.
func (r StackRecipe) Valid() error {
	switch {
	case r.Name != "" && ValidStackName(r.Name) != nil:
		return ValidStackName(r.Name)
	case r.Suite != "" && !suiteName.MatchString(r.Suite):
		return Invalid("suite", "%q is no release of Debian, such as bookworm", clipText(r.Suite))
	case r.Mirror != "" && !mirrorURL.MatchString(r.Mirror):
		return Invalid("mirror", "%q is no mirror: write http://host/debian, without a password", clipText(r.Mirror))
	case len(r.Packages) > maxStackPackages:
		return Invalid("packages", "more than %d packages", maxStackPackages)
	}
	for _, name := range r.Packages {
		if !packageName.MatchString(name) {
			return Invalid("packages", "%q is no name of a package", clipText(name))
		}
	}
	return nil
}

// ValidStackName checks the name of a stack.
func ValidStackName(name string) error {
	if !stackName.MatchString(name) || name == NoStack {
		return Invalid("name", "%q is no name for a stack: write up to 63 small letters, digits, dots, dashes", clipText(name))
	}
	return nil
}

// NoStack is said for: no stack, slugs are bare.
const NoStack = "none"

func clipText(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}
