// SPDX-FileCopyrightText: infra_ops.log_archive contributors
// SPDX-License-Identifier: GPL-3.0-or-later

import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** One Elasticsearch node in this process, on loopback: java -cp 'jars/*:.' SearchNode HOME PORT [SETTING=VALUE ...] */
public class SearchNode {
    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]).toAbsolutePath();
        LogConfigurator.registerErrorListener();
        Settings.Builder settings = Settings.builder()
            .put("path.home", home)
            .put("cluster.name", "lab").put("node.name", "lab-1")
            .put("network.host", "127.0.0.1").put("http.port", arguments[1]).put("transport.port", "0")
            .put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (int i = 2; i < arguments.length; i++) {
            String[] setting = arguments[i].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), null, () -> "lab-1");
        LogConfigurator.configureESLogging();
        Node node = new Node(environment, PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(home.resolve("modules")),
            PluginsLoader.loadPluginsBundles(home.resolve("plugins")), Map.of(), false));
        node.start();
        Thread.currentThread().join();
    }
}
