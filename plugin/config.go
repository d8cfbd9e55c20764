package llmtoken

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

const mebibyte = 1 << 20

// maxBodies bounds the two captured bodies of one report: JSON may double a text's size,
// and the collector takes requests of 64 MiB.
const maxBodies = 30 * mebibyte

// Config is the middleware's configuration. Traefik matches keys with field names and
// ignores case. It gives numbers and lists their types, and leaves durations to us.
type Config struct {
	Apiurl   string // where the collector takes reports; the only key that is required
	Token    string // bearer token that the collector asks for
	TokenEnv string // the environment variable that holds it, instead of Token

	Paths           []string // prefixes of the paths to tap; none means all
	CaptureBodies   string   // full | none | never
	CaptureUpstream bool     // report which server Traefik chose
	MaxRequestBody  int64    // bytes of a request kept
	MaxResponseBody int64    // bytes of a reply kept
	ConsumerHeader  string   // the request header that says who is calling
	ConsumerFromKey string   // the secret to hash API keys with, so that they tell who is calling
	Provider        string   // what the collector should take as gen_ai.provider.name
	Labels          map[string]string

	QueueSize     int    // reports that may wait
	QueueBytes    int64  // bytes of them
	BatchSize     int    // reports sent together
	BatchBytes    int    // bytes of them
	FlushInterval string // how long a report waits for others
	Timeout       string // how long the collector may take to answer
	Gzip          bool   // compress batches, for a collector far away
	SpoolDir      string // where batches wait as files for a collector that is away; none without
	SpoolBytes    int64  // bytes of those

	InjectStreamUsage bool // ask upstreams for the usage of streams that would end without

	// Unknown collects every other key. Traefik would ignore them, and with them a misspelt limit.
	Unknown map[string]interface{} `mapstructure:",remain"`
}

// CreateConfig is called by Traefik for the defaults.
func CreateConfig() *Config {
	return &Config{
		CaptureBodies:   "full",
		MaxRequestBody:  1 * mebibyte,
		MaxResponseBody: 8 * mebibyte,
		QueueSize:       10000,
		QueueBytes:      48 * mebibyte,
		BatchSize:       200,
		BatchBytes:      4 * mebibyte,
		FlushInterval:   "200ms",
		Timeout:         "10s",
		SpoolBytes:      256 * mebibyte,
	}
}

// check validates the configuration and returns what of it concerns the sender.
// Errors name the key; Traefik logs them and takes the route out of service.
func check(c *Config) (shipping, error) {
	s := shipping{
		url: c.Apiurl, token: c.Token,
		queueSize: c.QueueSize, queueBytes: c.QueueBytes, batchSize: c.BatchSize, batchBytes: c.BatchBytes,
		gzip: c.Gzip, spoolDir: c.SpoolDir, spoolBytes: c.SpoolBytes,
	}
	if len(c.Unknown) > 0 {
		return s, fmt.Errorf("llmtoken: unknown key %s: see docs/plugin.md for those there are", keys(c.Unknown))
	}
	target, err := url.Parse(c.Apiurl)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return s, fmt.Errorf("llmtoken: apiurl must be the collector's address, such as http://127.0.0.1:8000/api/report, not %q", c.Apiurl)
	}
	if c.TokenEnv != "" {
		if c.Token != "" {
			return s, fmt.Errorf("llmtoken: token and tokenEnv are both given: keep one")
		}
		s.token = os.Getenv(c.TokenEnv)
		if s.token == "" {
			return s, fmt.Errorf("llmtoken: tokenEnv: the environment variable %s is empty in Traefik's environment", c.TokenEnv)
		}
	}
	if strings.ContainsAny(s.token, " \t\r\n") {
		return s, fmt.Errorf("llmtoken: token must have no spaces or line ends")
	}
	for _, prefix := range c.Paths {
		if !strings.HasPrefix(prefix, "/") {
			return s, fmt.Errorf("llmtoken: paths: %q must begin with /", prefix)
		}
	}
	switch c.CaptureBodies {
	case "full", "none":
	case "never":
		c.MaxRequestBody, c.MaxResponseBody = 0, 0
	default:
		return s, fmt.Errorf("llmtoken: captureBodies must be full, none or never, not %q", c.CaptureBodies)
	}
	if c.InjectStreamUsage && c.CaptureBodies == "never" {
		return s, fmt.Errorf("llmtoken: injectStreamUsage has no use when captureBodies is never: usage is read from bodies")
	}
	if c.MaxRequestBody < 0 || c.MaxResponseBody < 0 || c.MaxRequestBody+c.MaxResponseBody > maxBodies {
		return s, fmt.Errorf("llmtoken: maxRequestBody and maxResponseBody must be 0 or more, and at most %d bytes together, not %d and %d",
			maxBodies, c.MaxRequestBody, c.MaxResponseBody)
	}
	if secretHeaders[http.CanonicalHeaderKey(c.ConsumerHeader)] {
		return s, fmt.Errorf("llmtoken: consumerHeader must not be %s, which holds a secret: use consumerFromKey", c.ConsumerHeader)
	}
	if c.ConsumerFromKey != "" && len(c.ConsumerFromKey) < 16 {
		return s, fmt.Errorf("llmtoken: consumerFromKey is the secret that API keys are hashed with: give it 16 characters or more")
	}
	if len(c.Provider) > maxName {
		return s, fmt.Errorf("llmtoken: provider must have at most %d bytes", maxName)
	}
	if len(c.Labels) > maxLabels {
		return s, fmt.Errorf("llmtoken: labels: at most %d, not %d", maxLabels, len(c.Labels))
	}
	for name, value := range c.Labels {
		if len(name) > maxName || len(value) > maxName {
			return s, fmt.Errorf("llmtoken: labels: %q: name and value must have at most %d bytes", name, maxName)
		}
	}
	return s, checkShipping(c, &s)
}

func checkShipping(c *Config, s *shipping) error {
	if c.QueueSize < 1 || c.QueueSize > 1000000 {
		return fmt.Errorf("llmtoken: queueSize must be 1 to 1000000 reports, not %d", c.QueueSize)
	}
	// Buffers grow by doubling, and a report that never fits would always be dropped.
	if least := 2*(c.MaxRequestBody+c.MaxResponseBody) + mebibyte; c.QueueBytes < least {
		return fmt.Errorf("llmtoken: queueBytes must be at least %d, twice the two bodies and 1 MiB, not %d", least, c.QueueBytes)
	}
	if c.BatchSize < 1 || c.BatchSize > 10000 {
		return fmt.Errorf("llmtoken: batchSize must be 1 to 10000 reports, not %d", c.BatchSize)
	}
	if c.BatchBytes < 1 || c.BatchBytes > 32*mebibyte {
		return fmt.Errorf("llmtoken: batchBytes must be 1 to %d, not %d", 32*mebibyte, c.BatchBytes)
	}
	if err := checkSpool(c); err != nil {
		return err
	}
	var err error
	s.flushInterval, err = duration("flushInterval", c.FlushInterval, time.Millisecond, time.Minute)
	if err == nil {
		s.timeout, err = duration("timeout", c.Timeout, 10*time.Millisecond, 10*time.Minute)
	}
	return err
}

func checkSpool(c *Config) error {
	if c.SpoolDir == "" {
		return nil
	}
	if c.SpoolBytes < int64(c.BatchBytes)+mebibyte {
		return fmt.Errorf("llmtoken: spoolBytes must be at least batchBytes and 1 MiB, %d, not %d", int64(c.BatchBytes)+mebibyte, c.SpoolBytes)
	}
	if !filepath.IsAbs(c.SpoolDir) {
		return fmt.Errorf("llmtoken: spoolDir must be an absolute path, such as /var/spool/llmtoken, not %q", c.SpoolDir)
	}
	probe, err := os.CreateTemp(c.SpoolDir, "*.probe")
	if err != nil {
		return fmt.Errorf("llmtoken: spoolDir must be a folder that Traefik may write to: %s", err)
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	return nil
}

func duration(key, text string, least, most time.Duration) (time.Duration, error) {
	value, err := time.ParseDuration(text)
	if err != nil || value < least || value > most {
		return 0, fmt.Errorf("llmtoken: %s must be a duration from %s to %s, such as 200ms or 5s, not %q", key, least, most, text)
	}
	return value, nil
}

func keys(m map[string]interface{}) string {
	names := []string{}
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
