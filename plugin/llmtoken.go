// Package llmtoken is a Traefik middleware that taps calls to language models.
//
// It copies each request and reply while they stream by, notes when the bytes passed, and
// reports the exchange to the llmtoken collector from the background. The traffic itself
// is never changed, and never waits for the collector.
//
// Traefik does not compile this package, it interprets it with Yaegi. That shapes the code:
// an interpreted statement costs about as much as a small compiled function, so what runs for
// each chunk is kept to a handful of statements that call compiled ones. Where Yaegi
// can't take a construct, a comment says so.
package llmtoken

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
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

// Middleware taps one route.
type Middleware struct {
	next    http.Handler
	name    string
	config  *Config
	sender  *sender
	stock   sync.Pool // exchanges made in advance
	special bool

	maxRequestBody int64
}

// New is called by Traefik for every router and entry point that uses the middleware, and
// again whenever any dynamic configuration changes. The context ends with this instance.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	shipping, err := check(config)
	if err != nil {
		return nil, err
	}
	m := &Middleware{
		next: next, name: clip(name, maxName), config: config, sender: acquire(ctx, shipping), special: special(config),
		maxRequestBody: config.MaxRequestBody,
	}
	tapped := askForUsage(m) // m itself, unless the configuration wants it
	if len(config.Paths) == 0 {
		return tapped, nil
	}
	return &selector{paths: config.Paths, tapped: tapped, untapped: next}, nil
}

// special configurations need more to be looked at than what every request is looked at for.
func special(config *Config) bool {
	return config.CaptureUpstream || config.ConsumerHeader != "" || config.ConsumerFromKey != ""
}

// ServeHTTP passes the request on, and reports it when it is over.
func (m *Middleware) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	header := req.Header
	if header["Upgrade"] != nil {
		passUpgrade(m, rw, req)
		return
	}
	x, ok := m.stock.Get().(*exchange)
	if !ok {
		x = makeExchanges(m, 1)
	}
	x.start = time.Now()
	x.ResponseWriter = rw
	x.control = http.NewResponseController(rw)
	x.request = req
	x.Method = req.Method
	x.Host = req.Host
	x.Path = req.RequestURI
	x.contentType = header["Content-Type"]
	x.contentEncoding = header["Content-Encoding"]
	length := req.ContentLength
	x.requestLength = length
	if length > 0 && length <= m.maxRequestBody {
		x.requestRest.R = req.Body
		x.requestRest.N = length
		req.Body = x.body
	} else if length != 0 {
		tapLarge(x, req)
	}
	if m.special {
		req = lookCloser(x, req)
	}
	// Deferred, because the proxy leaves by a panic when the client or the upstream goes away.
	defer finish(x)
	m.next.ServeHTTP(x, req)
	x.steps += returned
}

// passUpgrade lets a request pass that may go over to another protocol, which needs the connection itself. Compiled
// code can't see through an interpreted wrapper to the Hijacker beneath, so the reply goes by untapped.
func passUpgrade(m *Middleware, rw http.ResponseWriter, req *http.Request) {
	x := makeExchanges(m, 1)
	x.untapped = true
	x.steps = begun
	x.start = time.Now()
	x.request = req
	x.Method = req.Method
	x.Host = req.Host
	x.Path = req.RequestURI
	x.contentType = req.Header["Content-Type"]
	x.contentEncoding = req.Header["Content-Encoding"]
	x.requestLength = req.ContentLength
	if x.requestLength != 0 {
		tapLarge(x, req)
	}
	if m.special {
		req = lookCloser(x, req)
	}
	defer finish(x)
	m.next.ServeHTTP(rw, req)
	x.steps += returned
}

// selector taps some paths only. It stands apart so that the others, and those who tap all, don't pay for it.
type selector struct {
	paths            []string
	tapped, untapped http.Handler
}

func (s *selector) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	for _, prefix := range s.paths {
		if strings.HasPrefix(req.URL.Path, prefix) {
			s.tapped.ServeHTTP(rw, req)
			return
		}
	}
	s.untapped.ServeHTTP(rw, req)
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
