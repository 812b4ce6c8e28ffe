package platform

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	memoryForm = regexp.MustCompile(`(?i)^(([0-9]+(MB|KB|GB|[BKMG])|0)(/([0-9]+(MB|KB|GB|[BKMG])))?)$`)
	cpuForm    = regexp.MustCompile(`^(([0-9]*\.?[0-9]+m?)(/([0-9]*\.?[0-9]+m?))?)$`)
)

// ParseMemory reads "limit" or "request/limit", such as 512M or 50M/100M, and
// returns the limit in bytes. Units are binary: M and MB are 2^20.
func ParseMemory(text string) (int64, error) {
	if !memoryForm.MatchString(text) {
		return 0, Invalid("memory", "Memory limit format: <number><unit> or <number><unit>/<number><unit>, where unit = B, K, M or G")
	}
	limit := upper(text)
	digits := strings.TrimRight(limit, "BKMG")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, Invalid("memory", "%s is larger than any machine", text)
	}
	unit := map[string]int64{"": 1, "B": 1, "K": 1 << 10, "KB": 1 << 10, "M": 1 << 20, "MB": 1 << 20, "G": 1 << 30, "GB": 1 << 30}[limit[len(digits):]]
	if n > (1<<50)/unit {
		return 0, Invalid("memory", "%s is larger than any machine", text)
	}
	return n * unit, nil
}

// ParseCPU reads "limit" or "request/limit", such as 500m or 0.5/2, and
// returns the limit in thousandths of a core.
func ParseCPU(text string) (int64, error) {
	invalid := Invalid("cpu", "CPU limit format: <value> or <value>/<value>, where value must be a numeric")
	if !cpuForm.MatchString(text) {
		return 0, invalid
	}
	limit := strings.ToLower(upper(text))
	digits, milli := strings.CutSuffix(limit, "m")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n > 1e6 {
		return 0, invalid
	}
	if milli {
		return int64(n), nil
	}
	return int64(n * 1000), nil
}

// upper is the limit of "request/limit", in capitals.
func upper(text string) string {
	if _, limit, ok := strings.Cut(text, "/"); ok {
		text = limit
	}
	return strings.ToUpper(text)
}
