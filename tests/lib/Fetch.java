import java.io.FileInputStream;
import java.io.InputStream;
import java.net.URL;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Prints what a URL answers: Fetch URL [PEM], where PEM holds all roots that are trusted. */
public class Fetch {
    public static void main(String[] arguments) throws Exception {
        HttpsURLConnection connection = (HttpsURLConnection) new URL(arguments[0]).openConnection();
        connection.setConnectTimeout(10000);
        connection.setReadTimeout(10000);
        if (arguments.length > 1) {
            connection.setSSLSocketFactory(trusting(arguments[1]).getSocketFactory());
        }
        try (InputStream body = connection.getInputStream()) {
            System.out.write(body.readAllBytes());
        }
        System.out.flush();
    }

    private static SSLContext trusting(String pem) throws Exception {
        KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
        roots.load(null, null);
        try (InputStream file = new FileInputStream(pem)) {
            for (Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(file)) {
                roots.setCertificateEntry("root " + roots.size(), root);
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(roots);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
